package cloud_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// apiFields is claim C27 for the wire: every field of the API, with what it
// holds. A new one needs a word here, and one of these words:
//
//	id       random, or the hash of something public: ids, kids, hashes; a MAC
//	sealed   LKV1, LKW1, LKC1, LKS1, LKX1, LKT1, LKM1, LKR1: opened by keys that the server has not
//	signed   a note: statement, login, epoch, heads
//	token    random, drawn by the server for one caller or one question
//	webauthn public halves of passkeys and answers to questions; prf results are refused
//	tagkey   K_tag: names a household's leaves in the public log and opens nothing
//	offer    public keys with a MAC, and where the chain has them
//	word     of a fixed list, a public name of staff, a version, an origin, or words about an error
//	number   counters, sizes, times, slots, flags, enums
//	message  another message of this list
//
// There is none for names, labels in clear, passwords, codes or keys.
func apiFields() string {
	return `
Device id=id label=sealed secret=token
ListDevicesRequest
ListDevicesResponse devices=message
DeviceInfo id=id label=sealed created_ms=number seen_ms=number enrolled_by=word current=number online=number
EndDeviceRequest id=id
EndDeviceResponse
EndOtherDevicesRequest
EndOtherDevicesResponse ended=number
BeginPasskeyRequest
BeginPasskeyResponse ticket=token options_json=webauthn
AddPasskeyRequest ticket=token credential_json=webauthn wrap=sealed label=sealed step_up=message
AddPasskeyResponse
ListPasskeysRequest
ListPasskeysResponse passkeys=message
Passkey credential_id=id label=sealed created_ms=number used_ms=number
RemovePasskeyRequest credential_id=id step_up=message
RemovePasskeyResponse
BeginSignInRequest
BeginSignInResponse ticket=token options_json=webauthn
FinishSignInRequest ticket=token assertion_json=webauthn device=message cookie=number
FinishSignInResponse token=token household=id kid=id vault=sealed wraps=sealed version=number device_secret=token
BeginStepUpRequest purpose=id
BeginStepUpResponse ticket=token options_json=webauthn
StepUp ticket=token assertion_json=webauthn
CreateHouseholdRequest genesis=signed vault=sealed wraps=sealed recovery_id=id cookie=number device=message log_tag_key=tagkey
CreateHouseholdResponse household=id token=token device_secret=token
ChallengeRequest kid=id recovery_id=id household=id
ChallengeResponse nonce=token household=id server=word
LoginRequest note=signed cookie=number device=message
LoginResponse token=token household=id kid=id device_secret=token
LogoutRequest
LogoutResponse
WhoAmIRequest
WhoAmIResponse household=id kid=id kind=word server=word
GetVaultRequest
GetVaultResponse vault=sealed wraps=sealed version=number
PutVaultRequest vault=sealed expected_version=number wraps=sealed recovery_id=id step_up=message
PutVaultResponse
PutCapsuleRequest grant=id capsule=sealed proof=signed mask=sealed
PutCapsuleResponse
GetCapsuleRequest grant=id
GetCapsuleResponse capsule=sealed proof=signed
PutDirectoryRequest expected_n=number n=number letters=message
PutDirectoryResponse
Letter kid=id body=sealed
GetDirectoryRequest
GetDirectoryResponse n=number letter=sealed
GetChainRequest from_seq=number
GetChainResponse notes=signed
GetLogTagKeyRequest
GetLogTagKeyResponse key=tagkey
GetLeavesRequest from_seq=number
GetLeavesResponse log=word leaves=number
GetCompletenessRequest
GetCompletenessResponse proof=signed
AppendStatementRequest note=signed step_up=message vault=message
AppendStatementResponse seq=number
PutMailRequest rendezvous=id slot=number body=offer
PutMailResponse
GetMailRequest rendezvous=id slot=number wait_seconds=number index=number
GetMailResponse body=offer
ListHubsRequest
ListHubsResponse hubs=message
HubPresence kid=id online=number last_seen_ms=number doubled_ms=number
SendCommandRequest hub=id sealed=sealed
SendCommandResponse result=number
TimelineRequest track=id from=number to=number
TimelineResponse segments=message more=number
Segment epoch=id first_seq=number last_seq=number first_slot=number last_slot=number start=number bytes=number open=number
ListEpochsRequest from=number to=number hub=id after=id
GetEpochsRequest epochs=id
ListEpochsResponse epochs=message more=number
EpochInfo note=signed seals=message capsule=sealed heads=signed received_ms=number
SealLine kid=id hash=id
UplinkHello version=word held=message boot=id
SpoolRange epoch=id track=id first_seq=number last_seq=number
UplinkHave have=message newest=signed
UplinkWatched tracks=id
HaveRange epoch=id track=id first_seq=number last_seq=number level=number
UplinkEpoch note=signed seals=message capsules=message
SealedCapsule kid=id capsule=sealed
Receipt epoch=id track=id first_seq=number last_seq=number hash=id level=number
EpochReceipt epoch=id
UplinkCommand id=number sealed=sealed
UplinkCommandResult id=number result=number
ChainNotice head_seq=number
UplinkError code=number epoch=id track=id seq=number text=word newest=signed
SetContactsRequest set=id wrap=sealed letters=message step_up=message
SetContactsResponse
RemoveContactsRequest
RemoveContactsResponse
GetContactsRequest
GetContactsResponse set=id contacts=id created_ms=number dead=number
ListEntrustedRequest
ListEntrustedResponse entrusted=message
Entrusted owner=id set=id letter=sealed created_ms=number
PutClaimRequest note=signed
PutClaimResponse claim=id
ListClaimsRequest
ListClaimsResponse claims=message
ClaimInfo claim=id member=id notes=signed state=number first_ms=number until_ms=number stopped_by=id released=id
StopClaimRequest claim=id
StopClaimResponse
PutShareRequest claim=id letter=sealed
PutShareResponse
PollClaimRequest login=signed from_seq=number
PollClaimResponse claim=message shares=sealed wrap=sealed vault=sealed version=number chain=signed
FinishClaimRequest login=signed note=signed vault=message
FinishClaimResponse seq=number
PutLinkRequest grant=id capsule=sealed proof=signed mac=id words=sealed kid=id
PutLinkResponse
ListLinksRequest
ListLinksResponse links=message
LinkViews grant=id views=number last_view_ms=number
OpenLinkRequest kid=id
OpenLinkResponse note=signed proof=signed capsule=sealed mac=id words=sealed epochs=message
LinkEpoch note=signed heads=signed
ApplyRequest note=signed mac=id
ApplyResponse
ListApplicantsRequest
ListApplicantsResponse applicants=message
Application note=signed mac=id received_ms=number
PublishStaffRequest note=signed
PublishStaffResponse
ListStaffRequest id=word
ListStaffResponse staff=message
StaffEntry note=signed proof=signed
OpenTicketRequest topic=word
OpenTicketResponse ticket=number agent=message
ListTicketsRequest
ListTicketsResponse tickets=message
Ticket ticket=number topic=word state=word opened_ms=number updated_ms=number agent=word messages=number household=id
GetTicketRequest ticket=number
GetTicketResponse ticket=message letters=sealed agent=message health=sealed readers=message
Reader kid=id x=offer ed=offer
PutMessageRequest ticket=number letters=message
PutMessageResponse
CloseTicketRequest ticket=number
CloseTicketResponse
ExplainRequest role=word action=word assigned=number open=number granted=number trained=number strength=word
ExplainResponse allowed=number rules=message version=word
Rule name=word words=word
ListMineRequest
ListMineResponse decisions=message rules=message version=word
AuditRequest since_ms=number
AuditResponse decisions=message findings=message suspended=word
ReinstateRequest staff=word
ReinstateResponse
DeskDecision at_ms=number staff=word role=word action=word ticket=number allowed=number rules=word
Finding staff=word kind=word count=number limit=number
BeginShiftRequest kid=id
BeginShiftResponse nonce=token server=word
StartShiftRequest note=signed
StartShiftResponse token=token staff=signed
EndShiftRequest
EndShiftResponse
ListDeskRequest
TakeTicketRequest ticket=number
TakeTicketResponse
ListGrantedRequest ticket=number
ListGrantedResponse notes=signed
OpenGrantedRequest ticket=number grant=id
OpenGrantedResponse note=signed proof=signed capsule=sealed epochs=message operator=word
AccessRequest ticket=number grant=id entries=id
AccessResponse note=signed proof=signed
ReleaseRequest ticket=number grant=id note=signed
ReleaseResponse released=sealed
AddRequestRequest kind=word country=word household=id from=number until=number document=id gag_until=number
AddRequestResponse request=number
ListRequestsRequest
ListRequestsResponse requests=message
LegalRequest request=number kind=word country=word household=id from=number until=number document=id gag_until=number state=word entered_by=word decided_by=word entered_ms=number
DecideRequestRequest request=number disclose=number
DecideRequestResponse
ListDisclosuresRequest
ListDisclosuresResponse disclosures=message
Disclosure request=number kind=word country=word listing=word salt=token
UplinkOpening id=number note=signed staff=signed staff_proof=signed mask=sealed seq=number proof=signed
UplinkReleased id=number result=number released=sealed
UplinkHealth ticket=number letter=sealed
`
}

// allowedKinds says which words a field of a kind may have.
func allowedKinds(f protoreflect.FieldDescriptor) []string {
	switch f.Kind() {
	case protoreflect.BytesKind:
		return []string{"id", "sealed", "signed", "token", "offer", "tagkey"}
	case protoreflect.StringKind:
		return []string{"word", "token", "webauthn"}
	case protoreflect.MessageKind:
		return []string{"message"}
	}
	return []string{"number"}
}

// TestAPIFields holds the API against the list, both ways.
func TestAPIFields(t *testing.T) {
	want := map[string]map[string]string{}
	for line := range strings.Lines(apiFields()) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		want[words[0]] = map[string]string{}
		for _, w := range words[1:] {
			name, what, _ := strings.Cut(w, "=")
			want[words[0]][name] = what
		}
	}
	fields := 0
	for _, messages := range []protoreflect.MessageDescriptors{v1.File_latchkey_v1_latchkey_proto.Messages(), v1.File_latchkey_v1_contact_proto.Messages(), v1.File_latchkey_v1_link_proto.Messages(), v1.File_latchkey_v1_desk_proto.Messages()} {
		for i := range messages.Len() {
			m := messages.Get(i)
			list, ok := want[string(m.Name())]
			if !ok {
				t.Errorf("the API has a message %s: what does it hold?", m.Name())
			}
			for j := range m.Fields().Len() {
				f := m.Fields().Get(j)
				fields++
				if what := list[string(f.Name())]; !slices.Contains(allowedKinds(f), what) {
					t.Errorf("the API has a field %s.%s: what does it hold? The list says %q", m.Name(), f.Name(), what)
				}
				delete(list, string(f.Name()))
			}
			for name := range list {
				t.Errorf("%s.%s is in the list and not in the API", m.Name(), name)
			}
			if m.Messages().Len() > 0 {
				t.Errorf("%s has messages inside, which this test does not look at", m.Name())
			}
			delete(want, string(m.Name()))
		}
	}
	for name := range want {
		t.Errorf("%s is in the list and not in the API", name)
	}
	if fields < 100 {
		t.Fatalf("only %d fields found", fields)
	}
}
