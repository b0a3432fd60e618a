package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/docs"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// The parts of SARIF 2.1.0 that a report needs. Names and shapes are those of the standard.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string             `json:"id"`
		Name                 string             `json:"name"`
		ShortDescription     sarifText          `json:"shortDescription"`
		FullDescription      sarifText          `json:"fullDescription"`
		Help                 sarifText          `json:"help"`
		HelpURI              string             `json:"helpUri"`
		DefaultConfiguration sarifConfiguration `json:"defaultConfiguration"`
		Properties           sarifTags          `json:"properties"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifTags struct {
		Tags []string `json:"tags"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct {
		ExecutionSuccessful        bool                `json:"executionSuccessful"`
		ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifResult struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           int               `json:"ruleIndex"`
		Level               string            `json:"level"`
		Message             sarifText         `json:"message"`
		Locations           []sarifLocation   `json:"locations,omitempty"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical  `json:"physicalLocation"`
		LogicalLocations []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI       string `json:"uri"`
		URIBaseID string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
	}
)

// SARIF writes the report as a log in the Static Analysis Results Interchange Format, version 2.1.0.
func (r *Report) SARIF(w io.Writer) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: r.Tool.Name, Version: r.Tool.Version,
			InformationURI: "https://github.com/staticpod-exporter/staticpod-exporter", Rules: r.rules()}},
		Invocations: []sarifInvocation{{ExecutionSuccessful: len(r.Unreadable) == 0}},
		ColumnKind:  "unicodeCodePoints",
		Results:     []sarifResult{},
	}
	for _, u := range r.Unreadable {
		notification := sarifNotification{Level: "error", Message: sarifText{Text: u.Error}, Locations: []sarifLocation{{PhysicalLocation: r.physical(u.Path, 0, 0)}}}
		run.Invocations[0].ToolExecutionNotifications = append(run.Invocations[0].ToolExecutionNotifications, notification)
	}
	seen := map[string]int{}
	for _, p := range r.Problems {
		location := sarifLocation{PhysicalLocation: r.physical(p.Path, p.Line, p.Column)}
		if p.Field != "" {
			location.LogicalLocations = []sarifLogical{{p.Field}}
		}
		identity := fingerprint(location.PhysicalLocation.ArtifactLocation.URI, p)
		seen[identity]++
		run.Results = append(run.Results, sarifResult{
			RuleID:    string(p.Reason),
			RuleIndex: slices.IndexFunc(run.Tool.Driver.Rules, func(rule sarifRule) bool { return rule.ID == string(p.Reason) }),
			Level:     sarifLevel(p.Level), Message: sarifText{Text: words(p)},
			Locations:           []sarifLocation{location},
			PartialFingerprints: map[string]string{"problem/v1": fmt.Sprintf("%s:%d", identity, seen[identity])},
		})
	}
	return output.Encode(w, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// rules describe the reasons that the report has.
func (r *Report) rules() []sarifRule {
	rules := []sarifRule{}
	for _, p := range r.Problems {
		if slices.ContainsFunc(rules, func(rule sarifRule) bool { return rule.ID == string(p.Reason) }) {
			continue
		}
		known := code(p.Reason)
		level := known.Level
		if level == "" {
			level = p.Level
		}
		runbook, _ := docs.Find(string(p.Reason))
		help := sarifText{Text: orMeaning(docs.Plain(runbook.Remedy), known.Meaning), Markdown: docs.Unlinked(runbook.Remedy)}
		rules = append(rules, sarifRule{
			ID: string(p.Reason), Name: string(p.Reason),
			ShortDescription: sarifText{Text: known.Meaning},
			FullDescription:  sarifText{Text: orMeaning(docs.Plain(runbook.Meaning), known.Meaning)},
			Help:             help, HelpURI: helpURI(p.Reason),
			DefaultConfiguration: sarifConfiguration{sarifLevel(level)},
			Properties:           sarifTags{[]string{"kubernetes", "static-pod"}},
		})
	}
	slices.SortFunc(rules, func(a, b sarifRule) int { return strings.Compare(a.ID, b.ID) })
	return rules
}

func orMeaning(text, meaning string) string {
	if text == "" {
		return meaning
	}
	return text
}

func sarifLevel(level manifest.Level) string {
	switch level {
	case manifest.Critical:
		return "error"
	case manifest.Warning:
		return "warning"
	}
	return "note"
}

// physical is a place in a file: relative to the root of the sources where it is below it.
func (r *Report) physical(path string, line, column int) sarifPhysical {
	var at sarifPhysical
	switch known, inside := r.relative(path); {
	case path == Stdin:
		at.ArtifactLocation.URI = "stdin"
	case inside:
		at.ArtifactLocation = sarifArtifact{(&url.URL{Path: known}).String(), "%SRCROOT%"}
	default:
		at.ArtifactLocation.URI = (&url.URL{Scheme: "file", Path: known}).String()
	}
	if line > 0 {
		at.Region = &sarifRegion{line, max(column, 0)}
	}
	return at
}

// fingerprint identifies a problem over edits of other parts of its file.
func fingerprint(uri string, p manifest.Problem) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{uri, string(p.Reason), p.Detail, p.Field}, "\x00")))
	return hex.EncodeToString(sum[:16])
}
