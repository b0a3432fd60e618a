package manifest

import (
	"reflect"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// quoted are the parts of the libraries' messages that quote what the author wrote. It may be a secret, so
// they are taken out and the rest of the words is kept.
var quoted = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?s)(unsupported map key of type: [^,]*), key: .*`), "$1"},
	{regexp.MustCompile(`(?s)(invalid map key): .*`), "$1"},
	{regexp.MustCompile(`(?s)(unknown anchor|anchor) '.*' (referenced|value contains itself)`), "$1 $2"},
	{regexp.MustCompile("(?s)(cannot decode \\S+) `.*` as"), "$1 as"},
}

// discreet takes quotations out of an error's words.
func discreet(words string) string {
	for _, q := range quoted {
		words = q.pattern.ReplaceAllString(words, q.with)
	}
	return words
}

// listWords are the kubelet's words about a pod with these errors.
func listWords(errs field.ErrorList) string {
	words := make([]string, len(errs))
	for i, e := range errs {
		words[i] = fieldWords(e)
	}
	return "invalid pod: [" + strings.Join(words, " ") + "]"
}

// fieldWords are the kubelet's words about one field. A value that may be a secret is left out.
func fieldWords(e *field.Error) string {
	value, isString := e.BadValue.(string)
	if !secret(e.Field) && scalar(e.BadValue) && len(value) <= 256 {
		return e.Error()
	}
	bare := *e
	bare.BadValue = field.OmitValueType{}
	if isString && len(value) > 3 {
		bare.Detail = strings.ReplaceAll(bare.Detail, value, "…")
	}
	return bare.Error()
}

// secrets are the fields whose values people put secrets in, a variable's name among them: NAME=value is an
// error of its kind.
var secrets = regexp.MustCompile(`\.env\[\d+\](\.name|\.value)?$|\.(command|args|httpHeaders|options|volumeAttributes)\b|annotations\[`)

func secret(field string) bool { return secrets.MatchString(field) }

// scalar reports whether a value is small enough to be shown; a whole container or pod is not.
func scalar(value any) bool {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Invalid, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return true
	}
	_, omitted := value.(field.OmitValueType)
	return omitted
}
