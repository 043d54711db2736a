package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain is the command itself when the tests start it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("WHATSAPPTEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command starts the command and returns the address of its control API and
// what kills it.
func command(t *testing.T, args ...string) (control string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WHATSAPPTEST_MAIN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); fields[0] == "control" {
			return fields[1], kill
		}
	}
	t.Fatalf("the command has not started: %s", errs.String())
	return "", nil
}

func request(t *testing.T, method, url, body string, into any) {
	t.Helper()
	web := http.Client{Timeout: 10 * time.Second}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestCommand_SurvivesItsKill(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	control, kill := command(t, "--addr", "127.0.0.1:0", "--state", state)
	var before, after struct{ RootKey string }
	var sent struct{ ID string }
	request(t, "GET", control+"/stats", "", &before)
	request(t, "POST", control+"/phones/15550001111/messages", `{"to":"15550002222","text":"hello"}`, &sent)
	kill()

	control, _ = command(t, "--addr", "127.0.0.1:0", "--state", state)
	request(t, "GET", control+"/stats", "", &after)
	if before.RootKey == "" || after.RootKey != before.RootKey {
		t.Errorf("the root key was %s and is %s", before.RootKey, after.RootKey)
	}
	var got struct{ Messages []struct{ ID, Text string } }
	request(t, "GET", control+"/phones/15550002222/messages", "", &got)
	if len(got.Messages) != 1 || got.Messages[0].ID != sent.ID || got.Messages[0].Text != "hello" {
		t.Errorf("after the kill the phone shows %+v", got.Messages)
	}
}

func TestCommand_SaysWhatIsWrong(t *testing.T) {
	for _, args := range [][]string{
		{"--addr", "256.0.0.1:1"},
		{"--state", filepath.Join(t.TempDir(), "no", "folder", "state.json")},
		{"--unknown"},
	} {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "WHATSAPPTEST_MAIN=1")
		out, err := cmd.CombinedOutput()
		if err == nil || bytes.Contains(out, []byte("goroutine")) || len(bytes.TrimSpace(out)) == 0 {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}
