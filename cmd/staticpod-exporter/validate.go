package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// errInvalid ends validate and check-config with exit code 1 after they have said what is wrong themselves.
var errInvalid = errors.New("invalid")

func newValidateCommand() *cobra.Command {
	var rules manifest.Rules
	var warningsAsErrors bool
	command := &cobra.Command{
		Use:   "validate FILE|DIRECTORY|- ...",
		Short: "Prove static pod definitions with the kubelet's own rules",
		Long: `Validate reads definition files as serve does (Pods, PodLists, Lists, multi-document YAML, Talos machine
configurations and KubeStaticPodConfig documents; "-" is standard input) and proves each pod with the
kubelet's own decoding, defaulting and validation, and with what the kubelet does not check itself.

Of a directory it reads every *.yaml, *.yml and *.json file, not recursively. Problems go to standard output,
one per line: FILE:LINE:COLUMN: LEVEL: MESSAGE [REASON].

Exit codes: 0 all would run, 1 something would not, 2 something could not be read or the usage is wrong.`,
		Example: `  staticpod-exporter validate /etc/kubernetes/manifests
  cat pod.yaml | staticpod-exporter validate -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v := validation{validator: manifest.NewValidator(rules), out: c.OutOrStdout()}
			for _, arg := range args {
				if err := v.add(arg, c.InOrStdin()); err != nil {
					return usageError{err}
				}
			}
			v.tell()
			if v.critical > 0 || warningsAsErrors && v.warnings > 0 {
				return errInvalid
			}
			return nil
		},
	}
	f := command.Flags()
	f.StringVar(&rules.Node, "node", "node", "name of the node, which the pods' names end in")
	f.BoolVar(&rules.Standalone, "standalone", false, "the kubelet has no API server")
	f.BoolVar(&warningsAsErrors, "warnings-as-errors", false, "exit with 1 on warnings too")
	return command
}

// A validation proves files one after the other, and at the end prints what is wrong in and between them.
type validation struct {
	validator          *manifest.Validator
	out                io.Writer
	candidates         []*manifest.Candidate
	critical, warnings int
}

// add proves a file, the files of a directory, or in for "-".
func (v *validation) add(path string, in io.Reader) error {
	if path == "-" {
		data, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		v.file("<stdin>", data)
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return v.read(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isManifestName(e) {
			continue
		}
		if err := v.read(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func isManifestName(e fs.DirEntry) bool {
	switch filepath.Ext(e.Name()) {
	case ".yaml", ".yml", ".json":
		return !e.IsDir() && !strings.HasPrefix(e.Name(), ".")
	}
	return false
}

func (v *validation) read(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	v.file(path, data)
	return nil
}

func (v *validation) file(path string, data []byte) {
	v.candidates = append(v.candidates, v.validator.File(path, data, manifest.FormDefinitions)...)
}

// tell prints every problem.
func (v *validation) tell() {
	for _, c := range manifest.Together(v.candidates) {
		for _, p := range c.Problems {
			v.print(p)
		}
	}
}

func (v *validation) print(p manifest.Problem) {
	switch p.Level {
	case manifest.Critical:
		v.critical++
	case manifest.Warning:
		v.warnings++
	}
	where := p.Path
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", where, p.Line, max(p.Column, 1))
	}
	message := strings.Join(strings.Fields(p.Message), " ")
	if p.Field != "" && !strings.Contains(message, p.Field) {
		message = p.Field + ": " + message
	}
	fmt.Fprintf(v.out, "%s: %s: %s [%s]\n", where, p.Level, message, p.Reason)
}
