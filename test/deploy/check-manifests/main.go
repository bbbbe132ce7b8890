// Says what Helm, Kubernetes, Compose and BuildKit make of the files of docker/ and k8s/, by their own code and without a cluster or an engine:
//
//	check-manifests chart <folder> <values.yaml>...   one JSON object a line: lint messages, then documents with what is wrong with each
//	check-manifests compose <profile,...> <file>...   one JSON object: the project, or what is wrong with it
//	check-manifests dockerfile <file>                 one JSON object: stages and warnings, or what is wrong
//
// What is wrong is printed, and no failure of this program.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: check-manifests chart | compose | dockerfile ..."))
	}
	checks := map[string]func([]string) error{"chart": chart, "compose": compose, "dockerfile": dockerfile}
	check := checks[os.Args[1]]
	if check == nil {
		fail(fmt.Errorf("no such check: %s", os.Args[1]))
	}
	if err := check(os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func say(what any) error {
	return json.NewEncoder(os.Stdout).Encode(what)
}

type object = map[string]any
