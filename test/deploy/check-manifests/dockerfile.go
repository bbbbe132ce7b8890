package main

import (
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile parses as BuildKit does.
func dockerfile(args []string) error {
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return say(object{"refused": err.Error()})
	}
	warnings := []string{}
	for _, warning := range parsed.Warnings {
		warnings = append(warnings, warning.Short)
	}
	rules := linter.New(&linter.Config{Warn: func(rule, description, url, message string, location []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	stages, _, err := instructions.Parse(parsed.AST, rules)
	if err != nil {
		return say(object{"refused": err.Error()})
	}
	said := []object{}
	for _, stage := range stages {
		steps := []string{}
		for _, command := range stage.Commands {
			steps = append(steps, command.Name())
		}
		said = append(said, object{"name": stage.Name, "from": stage.BaseName, "steps": steps})
	}
	return say(object{"stages": said, "warnings": warnings})
}
