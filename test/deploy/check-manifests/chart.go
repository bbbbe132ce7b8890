package main

import (
	"fmt"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/releaseutil"
)

const namespace = "millrace-system"

// chart renders as `helm template` does, with values of files over those of the chart, the last file first.
func chart(args []string) error {
	folder, files := args[0], args[1:]
	given := chartutil.Values{}
	for _, file := range files {
		values, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return err
		}
		given = chartutil.CoalesceTables(values, given)
	}
	for _, message := range lint.AllWithKubeVersionAndSchemaValidation(folder, given, namespace, nil, false).Messages {
		if err := say(object{"lint": message.Error(), "severity": message.Severity}); err != nil {
			return err
		}
	}
	loaded, err := loader.Load(folder)
	if err != nil {
		return err
	}
	release := chartutil.ReleaseOptions{Name: "millrace", Namespace: namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(loaded, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return say(object{"refused": err.Error()})
	}
	rendered, err := engine.Render(loaded, values)
	if err != nil {
		return say(object{"refused": err.Error()})
	}
	names := make([]string, 0, len(rendered))
	for name := range rendered {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.HasSuffix(name, "NOTES.txt") {
			if err := say(object{"notes": rendered[name]}); err != nil {
				return err
			}
			continue
		}
		documents := releaseutil.SplitManifests(rendered[name])
		keys := make([]string, 0, len(documents))
		for key := range documents {
			keys = append(keys, key)
		}
		sort.Sort(releaseutil.BySplitManifestsOrder(keys))
		for _, key := range keys {
			document, problems := read([]byte(documents[key]))
			if document == nil && len(problems) == 0 {
				continue
			}
			if err := say(object{"template": name, "document": document, "problems": problems}); err != nil {
				return err
			}
		}
	}
	if len(rendered) == 0 {
		return fmt.Errorf("nothing was rendered")
	}
	return nil
}
