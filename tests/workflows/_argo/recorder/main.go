// Record how Argo's own libraries read YAML, conditions, expressions, durations and schedules:
// go run . < questions.json > ../recorded.json, with {"yaml": [texts], "when": …, "expr": …, "duration": …, "cron": …}.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/Knetic/govaluate"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/parser"
	"github.com/robfig/cron/v3"
	"sigs.k8s.io/yaml"
)

var names = map[string]any{
	"results":   map[string]any{"a": map[string]bool{"Succeeded": true, "Failed": false}},
	"lastRetry": map[string]any{"exitCode": "75", "status": "Failed", "duration": "1", "message": ""},
	"inputs":    map[string]any{"parameters": map[string]any{"n": "3", "a-b": "x"}},
	"asInt":     func(text any) int { n := 0; fmt.Sscan(fmt.Sprint(text), &n); return n },
}

// A when is evaluated as Argo does: a bare word is a text.
func when(text string) (any, error) {
	read, err := govaluate.NewEvaluableExpression(text)
	if err != nil {
		return nil, err
	}
	tokens := read.Tokens()
	for i := range tokens {
		if tokens[i].Kind == govaluate.VARIABLE {
			tokens[i].Kind = govaluate.STRING
		}
	}
	if read, err = govaluate.NewEvaluableExpressionFromTokens(tokens); err != nil {
		return nil, err
	}
	value, err := read.Evaluate(nil)
	if _, ok := value.(bool); err == nil && !ok {
		return nil, fmt.Errorf("it is not a boolean")
	}
	return value, err
}

func answer(kind, text string) map[string]any {
	var value any
	var err error
	switch kind {
	case "yaml":
		var read []byte
		if read, err = yaml.YAMLToJSON([]byte(text)); err == nil {
			value = json.RawMessage(read)
		}
	case "when":
		value, err = when(text)
	case "expr":
		if _, err = parser.Parse(text); err == nil {
			if value, failed := expr.Eval(text, names); failed == nil {
				if _, strange := json.Marshal(value); strange == nil {
					return map[string]any{"value": value}
				}
			}
			return map[string]any{"parses": true}
		}
	case "duration":
		var read time.Duration
		read, err = time.ParseDuration(text)
		value = read.Seconds()
	case "cron":
		_, err = cron.ParseStandard(text)
		value = err == nil
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"value": value}
}

func main() {
	var questions map[string][]string
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		panic(err)
	}
	answers := map[string]map[string]any{}
	for kind, texts := range questions {
		answers[kind] = map[string]any{}
		for _, text := range texts {
			answers[kind][text] = answer(kind, text)
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	out.SetEscapeHTML(false)
	if err := out.Encode(answers); err != nil {
		panic(err)
	}
}
