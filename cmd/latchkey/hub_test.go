package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/hub"
	"latchkey.dev/latchkey/internal/home/member"
)

// ether is a home network on which machines find one another.
type ether struct {
	mu    sync.Mutex
	known map[string]string // service and instance → address
}

func (e *ether) announce(ctx context.Context, service, instance string, port uint16) {
	name := service + " " + instance
	e.mu.Lock()
	e.known[name] = fmt.Sprintf("127.0.0.1:%d", port)
	e.mu.Unlock()
	<-ctx.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.known, name)
}

func (e *ether) browse(ctx context.Context, service string, found func(instance, addr string)) {
	for ctx.Err() == nil {
		e.mu.Lock()
		known := maps.Clone(e.known)
		e.mu.Unlock()
		for name, addr := range known {
			if instance, ok := strings.CutPrefix(name, service+" "); ok {
				found(instance, addr)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// homeHub is a hub that is started and stopped by a test.
type homeHub struct {
	*hub.Hub
	t     *testing.T
	stop  context.CancelFunc
	ended chan error
}

func runHub(t *testing.T, cfg hub.Config) *homeHub {
	t.Helper()
	h, err := hub.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &homeHub{Hub: h, t: t, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- h.Run(ctx) }()
	t.Cleanup(stop)
	return r
}

// end waits for the hub's own end, or, when it was stopped, for that.
func (r *homeHub) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(60 * time.Second):
		r.t.Fatal("the hub goes on")
		return nil
	}
}

func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "hub")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// readersOf returns how many keys the hub's newest epoch is sealed to.
func readersOf(t *testing.T, data string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "epochs", "*.epoch"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d epochs, %v", len(files), err)
	}
	raw, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	m := &latchkeyv1.UplinkEpoch{}
	if err := proto.Unmarshal(raw, m); err != nil {
		t.Fatal(err)
	}
	return len(m.GetSeals())
}

// TestHubAtHome is the life of a hub with a real cloud: paired over the home
// network without being told a server, paired again where the answer was lost,
// told of a removal that the server drops, copied, and removed.
func TestHubAtHome(t *testing.T) {
	if testing.Short() {
		t.Skip("records for half a minute")
	}
	dir := t.TempDir()
	d := newDemo(t, filepath.Join(dir, "data"), filepath.Join(dir, "keys"))
	t.Cleanup(d.stop)
	for _, step := range []func(context.Context) error{d.folders, d.startCloud, d.openHousehold, d.startCameras} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	net := &ether{known: map[string]string{}}
	cfg := hub.Config{
		DataDir: filepath.Join(dir, "hub"), Home: filepath.Join(dir, "hubkeys"), LAN: "127.0.0.1:0", Name: "attic", Version: "test",
		Pace: d.pace, Announce: net.announce, Browse: net.browse, Log: d.log,
	}
	t.Run("pair", func(t *testing.T) { hubPairs(t, d, net, &cfg) })
	if t.Failed() {
		return
	}
	h := runHub(t, cfg)
	home, err := d.client.Household(t.Context())
	if err == nil {
		err = d.client.AwaitOnline(t.Context(), home.Hubs[0].Kid)
	}
	if err == nil {
		err = d.addCameras(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	recorded(t, d.client, "porch", 3*time.Second)
	t.Run("removal", func(t *testing.T) { hubHearsRemoval(t, d, cfg) })
	t.Run("removal to a hub that is found", func(t *testing.T) { hubIsFound(t, d, net, cfg) })
	t.Run("copy", func(t *testing.T) { hubIsCopied(t, d, cfg) })
	t.Run("removed", func(t *testing.T) {
		report, err := d.client.RemoveHub(t.Context(), "attic")
		if err != nil || report.Server != nil {
			t.Fatalf("%+v, %v", report, err)
		}
		if err := h.end(); !errors.Is(err, hub.ErrRemoved) {
			t.Errorf("the hub ended with %v", err)
		}
		if err := runHub(t, cfg).end(); !errors.Is(err, hub.ErrRemoved) {
			t.Errorf("and started again with %v", err)
		}
	})
	t.Run("fsck", func(t *testing.T) { storyFsck(t, d) })
}

// invite waits for a hub on the home network.
func invite(t *testing.T, d *demo, net *ether, cfg hub.Config) (member.HubName, *homeHub) {
	t.Helper()
	i, err := d.client.InviteHub(t.Context(), "attic")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Listen("127.0.0.1:0", net.announce); err != nil {
		t.Fatal(err)
	}
	cfg.PairCode = i.Code()
	h := runHub(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	name, err := i.Wait(ctx, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.client.AwaitOnline(ctx, name.Kid); err != nil {
		t.Fatal(err)
	}
	return name, h
}

// hubPairs pairs a hub, and once more another machine with the same keys, which
// has never had its answer: it is shown the statement that stands.
func hubPairs(t *testing.T, d *demo, net *ether, cfg *hub.Config) {
	if _, err := hub.New(*cfg); err != nil {
		t.Fatal(err)
	}
	twin := *cfg
	twin.DataDir = copyTree(t, cfg.DataDir)
	first, h := invite(t, d, net, *cfg)
	h.stop()
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	again, h := invite(t, d, net, twin)
	h.stop()
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	household, err := d.client.Household(t.Context())
	if err != nil || again.Kid != first.Kid || len(household.Hubs) != 1 {
		t.Errorf("%v, then %v: %d hubs, %v", first.Kid, again.Kid, len(household.Hubs), err)
	}
}

// hubHearsRemoval: the server drops the removal, the home network carries it,
// and the next epoch is not sealed to the removed.
func hubHearsRemoval(t *testing.T, d *demo, cfg hub.Config) {
	cem := join(t, d.client, d.server, member.NewMember{Name: "Cem", Role: "viewer"}, "Cem")
	eventually(t, "an epoch for two", func() bool { return readersOf(t, cfg.DataDir) == 2 })
	eventually(t, "Cem sees the porch", func() bool { return len(cameraNames(t, cem.client)) == 2 })
	l := newLiar(t, d.server)
	admin := recoverAt(t, filepath.Join(t.TempDir(), "phone"), l.URL, d.code)
	if _, err := admin.Hubs(t.Context()); err != nil { // learns where the hub listens
		t.Fatal(err)
	}
	l.tell(t, lie{request: func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/AppendStatement") {
			r.URL.Path = "/dropped"
		}
	}})
	report, err := admin.RemoveMember(t.Context(), "Cem")
	if err != nil || report.Server == nil || len(report.Hubs) != 1 || !report.Hubs[0].Heard {
		t.Fatalf("%+v, %v", report, err)
	}
	eventually(t, "an epoch for one", func() bool { return readersOf(t, cfg.DataDir) == 1 })
}

// hubIsFound: an admin whose machine has never heard where the hub is finds it on
// the home network, and takes nobody else's word for having heard.
func hubIsFound(t *testing.T, d *demo, net *ether, cfg hub.Config) {
	join(t, d.client, d.server, member.NewMember{Name: "Dora", Role: "viewer"}, "Dora")
	eventually(t, "an epoch for two", func() bool { return readersOf(t, cfg.DataDir) == 2 })
	l := newLiar(t, d.server)
	asked := make(chan struct{}, 1)
	impostor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "of course")
		select {
		case asked <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(impostor.Close)
	both := func(ctx context.Context, service string, found func(instance, addr string)) {
		found("hub", strings.TrimPrefix(impostor.URL, "http://"))
		found("hub", "203.0.113.9:80")
		<-asked
		net.browse(ctx, service, found)
	}
	admin, err := member.Recover(t.Context(), member.Options{Home: filepath.Join(t.TempDir(), "phone"), Browse: both},
		member.Recovery{Server: l.URL, Code: d.code, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	l.tell(t, lie{request: func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/AppendStatement") || strings.HasSuffix(r.URL.Path, "/ListHubs") {
			r.URL.Path = "/dropped"
		}
	}})
	report, err := admin.RemoveMember(t.Context(), "Dora")
	if err != nil || report.Server == nil || len(report.Hubs) != 1 || !report.Hubs[0].Heard {
		t.Fatalf("%+v, %v", report, err)
	}
	eventually(t, "an epoch for one", func() bool { return readersOf(t, cfg.DataDir) == 1 })
}

// hubIsCopied: a copy of the running hub's folder is found out (IRT-25).
func hubIsCopied(t *testing.T, d *demo, cfg hub.Config) {
	copied := cfg
	copied.DataDir = copyTree(t, cfg.DataDir)
	copied.LAN = ""
	if err := runHub(t, copied).end(); !errors.Is(err, hub.ErrDoubled) {
		t.Fatalf("the copy ended with %v", err)
	}
	eventually(t, "the household is told", func() bool {
		cams, err := d.client.Cameras(t.Context())
		return err == nil && len(cams) == 2 && strings.Contains(cams[0].Error, "Another machine")
	})
	hubs, err := d.client.Hubs(t.Context())
	if err != nil || len(hubs) != 1 || hubs[0].Doubled.IsZero() || !strings.Contains(strings.Join(hubRows(hubs[0]), "\n"), "two machines use this hub's keys") {
		t.Errorf("hub status says nothing of the copy: %+v, %v", hubs, err)
	}
}
