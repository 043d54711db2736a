package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the README has a newcomer type into a terminal does what it says. The lines
// wait for nothing, so they are typed more slowly on a machine that is slow.
func TestReadme_Story(t *testing.T) {
	t.Parallel()
	secrets.add("a phone number", "14155550123")
	var missing, out string
	for _, pause := range []string{"0.4", "2", "6"} {
		if missing, out = typeReadme(t, pause); missing == "" {
			return
		}
	}
	t.Fatalf("want %s at its place in what the README's lines give, got:\n%s", missing, out)
}

// typeReadme types the README's lines with a pause, in seconds, before each, and
// returns what of the answers did not come.
func typeReadme(t *testing.T, pause string) (missing, got string) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, story, _ := strings.Cut(string(readme), "## Try it")
	story, _, _ = strings.Cut(story, "\n## ")
	data := filepath.Join(tempDir(t), "demo")
	d := startDemo(t, data, "127.0.0.1:0", "127.0.0.1:0")
	d.after("  kill -9")
	here := strings.NewReplacer("http://127.0.0.1:8080", d.url, "http://127.0.0.1:9000", d.w.control, "data/demo", data)

	var script strings.Builder
	script.WriteString("set -eu\n")
	blocks := strings.Split(story, "```sh\n")[1:]
	for _, block := range blocks {
		lines, _, _ := strings.Cut(block, "```")
		for line := range strings.Lines(here.Replace(lines)) {
			if strings.HasPrefix(line, "curl") && script.Len() > 200 {
				script.WriteString("sleep " + pause + "\n")
			}
			script.WriteString(line)
		}
	}
	out, err := exec.Command("sh", "-c", script.String()).CombinedOutput()
	if err != nil {
		t.Fatalf("the README's lines fail: %v\n%s\n%s", err, script.String(), out)
	}
	rest := string(out)
	for _, want := range []string{
		`"status":"connecting"`, `"qr":{"code":"`, `"device":{`, `"status":"active","phoneNumber":"14155550123"`,
		`"event":"message.received"`, `"from":"14155550199"`, `"text":{"body":"hello"}`, `"status":"queued"`, `"text":"hello back"`, `"status":"delivered"`,
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			return want, string(out)
		}
		rest = after
	}
	return "", ""
}
