package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

// compose loads files as `docker compose config` does, with variables from the environment.
func compose(args []string) error {
	profiles := strings.FieldsFunc(args[0], func(r rune) bool { return r == ',' })
	options, err := cli.NewProjectOptions(args[1:], cli.WithOsEnv, cli.WithProfiles(profiles), cli.WithInterpolation(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return say(object{"refused": err.Error()})
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(compact(text), '\n'))
	return err
}

func compact(text []byte) []byte {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return text
	}
	short, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return short
}
