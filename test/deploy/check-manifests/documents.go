package main

import (
	"context"
	"fmt"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	security "k8s.io/pod-security-admission/api"
	securitypolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

var codecs = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)

// read takes a document as an API server takes it that is told to create it: strictly decoded, defaulted, validated. Of custom resources only the
// fields are checked.
func read(text []byte) (object, []string) {
	var document object
	if err := yaml.UnmarshalStrict(text, &document); err != nil {
		return nil, []string{err.Error()}
	}
	switch {
	case document == nil:
		return nil, nil
	case document["apiVersion"] == "monitoring.coreos.com/v1":
		return document, problemsOf(yaml.UnmarshalStrict(text, &monitoring.PodMonitor{}))
	case document["apiVersion"] == "keda.sh/v1alpha1":
		return document, problemsOf(yaml.UnmarshalStrict(text, &scaledObject{}))
	}
	typed, kind, err := codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		return document, []string{err.Error()}
	}
	problems := unsafePods(typed)
	legacyscheme.Scheme.Default(typed)
	internal, err := legacyscheme.Scheme.UnsafeConvertToVersion(typed, schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return document, append(problems, err.Error())
	}
	return document, append(problems, problemsOf(create(internal, *kind))...)
}

func problemsOf(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

// create is what the server does before it stores an object, without admission.
func create(internal runtime.Object, kind schema.GroupVersionKind) error {
	named, err := meta.Accessor(internal)
	if err != nil {
		return err
	}
	rest.FillObjectMetaSystemFields(named)
	named.SetNamespace(namespace)
	ctx := request.WithNamespace(context.Background(), namespace)
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: "create", Namespace: namespace, Name: named.GetName(), APIGroup: kind.Group, APIVersion: kind.Version,
	})
	switch it := internal.(type) {
	case *apps.Deployment:
		return rest.BeforeCreate(deployment.Strategy, ctx, it)
	case *policy.PodDisruptionBudget:
		return rest.BeforeCreate(poddisruptionbudget.Strategy, ctx, it)
	case *autoscaling.HorizontalPodAutoscaler:
		return rest.BeforeCreate(horizontalpodautoscaler.Strategy, ctx, it)
	case *networking.Ingress:
		return rest.BeforeCreate(ingress.Strategy, ctx, it)
	case *networking.NetworkPolicy:
		return rest.BeforeCreate(networkpolicy.Strategy, ctx, it)
	case *core.ConfigMap:
		return all(corevalidation.ValidateConfigMap(it))
	case *core.ServiceAccount:
		return all(corevalidation.ValidateServiceAccount(it))
	case *core.Service:
		// Addresses are given by the server, between its own default and its check.
		it.Spec.ClusterIPs = []string{"10.0.0.1"}
		it.Spec.ClusterIP = "10.0.0.1"
		it.Spec.IPFamilies = []core.IPFamily{core.IPv4Protocol}
		single := core.IPFamilyPolicySingleStack
		it.Spec.IPFamilyPolicy = &single
		return all(corevalidation.ValidateServiceCreate(it))
	}
	return fmt.Errorf("no check for %s", kind)
}

func all(errors field.ErrorList) error {
	if len(errors) == 0 {
		return nil
	}
	return errors.ToAggregate()
}

// unsafePods says what the strictest of Kubernetes' pod security standards has against the pods of a Deployment.
func unsafePods(typed runtime.Object) []string {
	deployment, is := typed.(*appsv1.Deployment)
	if !is {
		return nil
	}
	evaluator, err := securitypolicy.NewEvaluator(securitypolicy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	var problems []string
	template := deployment.Spec.Template
	for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
		if !result.Allowed {
			problems = append(problems, strings.TrimSpace(result.ForbiddenReason+": "+result.ForbiddenDetail))
		}
	}
	return problems
}
