package cloud_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/cloud"
)

// TestServeStory is the main function of a cloud in a browser story that cannot
// wait for seven days (docs/design/0004): it shows claims of trusted contacts for
// as long as it is told.
func TestServeStory(t *testing.T) {
	wait, err := time.ParseDuration(os.Getenv("LATCHKEY_TEST_CONTACT_WAIT"))
	if err != nil {
		t.Skip("only as a process of a browser story")
	}
	s := startServer(t, cloud.Config{ContactWait: wait})
	fmt.Fprintln(os.Stdout, "The cloud listens on "+s.URL)
	select {} // until killed
}
