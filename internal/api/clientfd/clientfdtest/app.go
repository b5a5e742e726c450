package clientfdtest

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// appCases are section 3.6: what the deployed apps send, byte for byte, and what they read of the answers.
func appCases() []suiteCase {
	return []suiteCase{
		{"3.6 iOS registers, groups channels, deletes [A]", ios},
		{"3.6 Android registers, sets all channels, rotates its token [A]", android},
		{"3.6 the ZETA SDK registers with profile_tag and format, and deletes [A]", zeta},
	}
}

func ios(t *testing.T, s *Server) {
	const key = "740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bb78ad"
	// Foundation escapes slashes.
	s.MustSet(Erika, `{"lang":"de","kind":"http","app_display_name":"E-Rezept","device_display_name":"iPhone","app_id":"de.gematik.erp4ios.eRezept.apns",`+
		`"pushkey":"`+key+`","data":{"url":"https:\/\/gw.example.com\/push\/v1\/"},"encryption":{"method":"aes-hmac-sha256","time_iss_created":"2026-07",`+
		`"iss":"`+Secret+`","key_identifier":"5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"},"append":false}`)
	require.JSONEq(t, `{"url":"https://gw.example.com/push/v1/"}`, string(s.Pushers(Erika)[0].Data))
	s.done(s.Call(Erika, http.MethodPost, s.Dialect.device(), key, `{"channels":[{"id":"erp.task.accept","status":"enabled"},{"id":"erp.task.activate","status":"enabled"}]}`))
	require.Equal(t, "enabled enabled enabled", s.Chosen(Erika, key))
	s.MustSet(Erika, `{"app_id":"de.gematik.erp4ios.eRezept.apns","pushkey":"`+key+`","kind":null}`)
	s.unknown(Erika, key)
}

func android(t *testing.T, s *Server) {
	register := func(key string) {
		r := s.Request(Erika, http.MethodPost, s.Dialect.set(), "", `{"app_display_name":"E-Rezept","device_display_name":"Google Pixel 9","app_id":"de.gematik.erp.firebase","append":true,`+
			`"data":{"url":"https://gw.example.com/push/v1/"},"encryption":{"iss":"`+Secret+`","key_identifier":"5ebb1486-7430-42c0-b9aa-b57ca6c90ea4","method":"aes-hmac-sha256","time_iss_created":"2026-11"},`+
			`"kind":"http","lang":"de","pushkey":"`+key+`"}`)
		r.Header.Set("Content-Type", "application/json; charset=UTF-8")
		s.done(s.Serve(r, s.Dialect.set()))
	}
	all := []string{"erp.task.activate", "enabled", "erp.task.accept", "disabled", "erp.communication.new", "enabled"}
	const before, after = "dGVzdA:APA91bH-old_key", "dGVzdA:APA91bH-new_key"
	register(before)
	s.done(s.Choose(Erika, before, all...))
	require.Equal(t, "enabled disabled enabled", s.Chosen(Erika, before))
	s.MustSet(Erika, `{"pushkey":"`+before+`","kind":null,"app_id":"de.gematik.erp.firebase"}`)
	register(after)
	s.done(s.Choose(Erika, after, all...))
	require.Equal(t, "enabled disabled enabled", s.Chosen(Erika, after))
	var list struct {
		Pushers []struct {
			Pushkey string `json:"pushkey"`
			AppID   string `json:"app_id"`
		} `json:"pushers"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.List(Erika)), &list))
	require.Len(t, list.Pushers, 1)
	require.Equal(t, after, list.Pushers[0].Pushkey)
	require.Equal(t, "de.gematik.erp.firebase", list.Pushers[0].AppID)
}

func zeta(t *testing.T, s *Server) {
	body := `{"kind":"http","app_id":"de.gematik.tiflow","pushkey":"zeta","app_display_name":"TI-Flow","device_display_name":"Phone","profile_tag":"default",` +
		`"lang":"de","data":{"url":"https://gw.example.com/push/v1/","format":"event_id_only"},"encryption":` + encryption + `,"append":false}`
	s.MustSet(Erika, body)
	require.Equal(t, "default", *s.Pushers(Erika)[0].ProfileTag)
	require.Contains(t, s.List(Erika), `"format":"event_id_only"`)
	s.MustSet(Erika, `{"kind":null,"app_id":"de.gematik.tiflow","pushkey":"zeta"}`)
}
