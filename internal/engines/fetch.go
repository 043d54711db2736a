package engines

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// The versions of everything that is fetched.
var (
	//go:embed pom.xml
	pom string
	//go:embed requirements.txt
	requirements string
	//go:embed tools.txt
	tools string
)

// fetcher brings the engines into a folder, each once for all processes.
type fetcher struct {
	dir      string
	progress io.Writer
}

// java returns the java command and the folder with the jars of a profile of pom.
func (f *fetcher) java(ctx context.Context, needer, profile string) (java, lib string, err error) {
	java, err = look("java", needer, "install a Java runtime, 17 or newer (apt-get install default-jre-headless)")
	if err != nil {
		return "", "", err
	}
	lib, err = f.once(needer, profile, pom, func(dir string) error {
		f.tell(needer, dir)
		mvn, err := look("mvn", needer, "install Maven (apt-get install maven)")
		if err != nil {
			return err
		}
		pomFile := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(pomFile, []byte(pom), 0o600); err != nil {
			return err
		}
		return run(ctx, mvn, "-q", "-B", "-f", pomFile, "-P", profile,
			"dependency:copy-dependencies", "-DoutputDirectory="+dir)
	})
	return java, lib, err
}

// python returns the python of a virtual environment of that name, which has what
// the list says.
func (f *fetcher) python(ctx context.Context, needer, name, packages string) (string, error) {
	const how = "install Python, 3.10 or newer (apt-get install python3 python3-venv)"
	// A virtual environment is bound to its interpreter, and cannot be moved.
	python, err := look("python3", needer, how)
	if err != nil {
		return "", err
	}
	dir, err := f.once(needer, name, packages, func(dir string) error {
		f.tell(needer, dir)
		if err := run(ctx, python, "-m", "venv", dir); err != nil {
			return fmt.Errorf("%w\n%s", err, how)
		}
		list := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(list, []byte(packages), 0o600); err != nil {
			return err
		}
		return run(ctx, venvPython(dir), "-m", "pip", "install", "--quiet", "--no-input", "-r", list)
	})
	return venvPython(dir), err
}

func (f *fetcher) tell(needer, dir string) {
	_, _ = fmt.Fprintf(f.progress, "fetching %s into %s\n", needer, dir)
}

func venvPython(dir string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", "python.exe")
	}
	return filepath.Join(dir, "bin", "python")
}

// once returns a folder that fill has filled, in this process or another, for
// the same content. A folder counts once it is marked; what a killed process
// left half is filled anew.
func (f *fetcher) once(needer, name, content string, fill func(dir string) error) (string, error) {
	sum := sha256.Sum256([]byte(content))
	dir := filepath.Join(f.dir, name+"-"+hex.EncodeToString(sum[:6]))
	mark := filepath.Join(dir, "complete")
	if _, err := os.Stat(mark); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return "", fmt.Errorf("engines: %w", err)
	}
	guard, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("engines: %w", err)
	}
	defer guard.Close()
	if err := lock(guard); err != nil {
		return "", fmt.Errorf("engines: lock %s: %w", guard.Name(), err)
	}
	if _, err := os.Stat(mark); err == nil {
		return dir, nil // another process did it
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", fmt.Errorf("engines: %w", err)
	}
	if err := fill(dir); err != nil {
		return "", fmt.Errorf("engines: fetch %s: %w", needer, err)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return "", fmt.Errorf("engines: %w", err)
	}
	return dir, nil
}

// file writes a small file with content, and returns its path.
func (f *fetcher) file(name, content string) (string, error) {
	dir, err := f.once(name, name, content, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
	})
	return filepath.Join(dir, name), err
}

func run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	out := &log{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w; it said:\n%s", filepath.Base(program), err, out.end())
	}
	return nil
}
