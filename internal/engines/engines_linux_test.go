package engines

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEngines_EndWithAParentThatIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), childVariable+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	urls := strings.Fields(line)
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil || len(urls) != 2 {
		t.Fatalf("the child said %q, %v", line, err)
	}
	for _, url := range urls {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			response, err := http.Get(url)
			if errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			if err == nil {
				_ = response.Body.Close()
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s still answers", url)
			}
		}
	}
}
