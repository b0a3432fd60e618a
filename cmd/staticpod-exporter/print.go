package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A printer prints resources, which may wait for flush. The event is that of a watch, else "".
type printer interface {
	print(event string, object []byte) error
	flush() error
}

const jsonpathForm = "jsonpath="

// newPrinter returns the printer that --output asks for.
func newPrinter(w io.Writer, t resourceType, form string, watched bool) (printer, error) {
	if template, ok := strings.CutPrefix(form, jsonpathForm); ok {
		p, err := output.NewJSONPath(w, template)
		if err != nil {
			return nil, usageError{err}
		}
		return jsonpathPrinter{p}, nil
	}
	switch form {
	case "table", "wide":
		p := &tablePrinter{of: t, wide: form == "wide", watched: watched}
		header := t.columns(p.wide)
		if watched {
			header = output.WithEvent(header, "*")
		}
		p.table = output.NewTable(w, header)
		p.table.Colours = coloursOf(w)
		return p, nil
	case "yaml":
		return yamlPrinter{output.NewDocuments(w)}, nil
	case "json":
		return jsonPrinter{w}, nil
	case "name":
		return namePrinter{w}, nil
	}
	return nil, usageError{fmt.Errorf("unknown output %q: there are %s", form, strings.Join(outputs(), ", "))}
}

type tablePrinter struct {
	table         *output.Table
	of            resourceType
	wide, watched bool
}

func (p *tablePrinter) print(event string, object []byte) error {
	row, err := p.of.row(object, p.wide, time.Now())
	if err != nil {
		return err
	}
	if p.watched {
		row = output.WithEvent(row, map[string]string{"created": "+", "destroyed": "-"}[event])
	}
	p.table.Row(row)
	return nil
}

func (p *tablePrinter) flush() error { return p.table.Flush() }

type yamlPrinter struct{ documents *output.Documents }

func (p yamlPrinter) print(event string, object []byte) error {
	return p.documents.Write(withEvent(event, object))
}

func (p yamlPrinter) flush() error { return nil }

type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) print(event string, object []byte) error {
	return output.JSON(p.w, withEvent(event, object))
}

func (p jsonPrinter) flush() error { return nil }

type jsonpathPrinter struct{ path *output.JSONPath }

func (p jsonpathPrinter) print(event string, object []byte) error {
	return p.path.Write(withEvent(event, object))
}

func (p jsonpathPrinter) flush() error { return nil }

type namePrinter struct{ w io.Writer }

func (p namePrinter) print(_ string, object []byte) error {
	m, err := metadata(object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.w, output.Printable(m.ID))
	return err
}

func (p namePrinter) flush() error { return nil }

// withEvent puts a member "event" before those of object.
func withEvent(event string, object []byte) []byte {
	if event == "" {
		return object
	}
	return append([]byte(`{"event":"`+event+`",`), object[1:]...)
}
