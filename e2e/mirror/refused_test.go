package mirror

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	scheduling "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// A refusal is one way in which an API server refuses a mirror pod.
type refusal struct {
	pod    string // its namespace and name
	detail string
	words  []string // of the API server
	// refuse has it refused, before the pod is there; mend ends that.
	refuse, mend func(t *testing.T, api *kubernetes.Clientset)
}

var refusals = []refusal{
	{
		pod: "nowhere/pod", detail: "NamespaceMissing", words: []string{`namespaces "nowhere" not found`},
		mend: func(t *testing.T, api *kubernetes.Clientset) { namespace(t, api, "nowhere", nil) },
	},
	{
		pod: "limited/pod", detail: "LimitRange", words: []string{"maximum cpu usage per Container is 100m, but limit is 200m"},
		refuse: func(t *testing.T, api *kubernetes.Clientset) {
			namespace(t, api, "limited", nil)
			limits := []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Max: cpu("100m")}}
			must[*corev1.LimitRange](t)(api.CoreV1().LimitRanges("limited").Create(t.Context(), &corev1.LimitRange{ObjectMeta: object("small"), Spec: corev1.LimitRangeSpec{Limits: limits}}, metav1.CreateOptions{}))
		},
		mend: func(t *testing.T, api *kubernetes.Clientset) {
			deleted(t, api.CoreV1().LimitRanges("limited").Delete(t.Context(), "small", metav1.DeleteOptions{}))
		},
	},
	{
		pod: "rationed/pod", detail: "Quota", words: []string{"exceeded quota: none"},
		refuse: func(t *testing.T, api *kubernetes.Clientset) {
			namespace(t, api, "rationed", nil)
			hard := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
			quotas := api.CoreV1().ResourceQuotas("rationed")
			quota := must[*corev1.ResourceQuota](t)(quotas.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: object("none"), Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{}))
			quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: hard} // there is no controller that does it
			must[*corev1.ResourceQuota](t)(quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}))
		},
		mend: func(t *testing.T, api *kubernetes.Clientset) {
			deleted(t, api.CoreV1().ResourceQuotas("rationed").Delete(t.Context(), "none", metav1.DeleteOptions{}))
		},
	},
	{
		pod: "secured/pod", detail: "PodSecurity", words: []string{`violates PodSecurity "restricted:latest"`, "host namespaces (hostNetwork=true)"},
		refuse: func(t *testing.T, api *kubernetes.Clientset) {
			namespace(t, api, "secured", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
		},
		mend: func(t *testing.T, api *kubernetes.Clientset) {
			patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}`)
			must[*corev1.Namespace](t)(api.CoreV1().Namespaces().Patch(t.Context(), "secured", types.MergePatchType, patch, metav1.PatchOptions{}))
		},
	},
	{
		pod: "default/policy", detail: "AdmissionPolicy", words: []string{"ValidatingAdmissionPolicy 'no-policy'", "no such pods here"},
		refuse: func(t *testing.T, api *kubernetes.Clientset) {
			v1 := api.AdmissionregistrationV1()
			must[*admission.ValidatingAdmissionPolicy](t)(v1.ValidatingAdmissionPolicies().Create(t.Context(), &admission.ValidatingAdmissionPolicy{
				ObjectMeta: object("no-policy"),
				Spec: admission.ValidatingAdmissionPolicySpec{
					MatchConstraints: &admission.MatchResources{ResourceRules: []admission.NamedRuleWithOperations{{RuleWithOperations: podCreation()}}},
					Validations:      []admission.Validation{{Expression: "object.metadata.name != 'policy-node1'", Message: "no such pods here"}},
				},
			}, metav1.CreateOptions{}))
			must[*admission.ValidatingAdmissionPolicyBinding](t)(v1.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admission.ValidatingAdmissionPolicyBinding{
				ObjectMeta: object("no-policy"),
				Spec:       admission.ValidatingAdmissionPolicyBindingSpec{PolicyName: "no-policy", ValidationActions: []admission.ValidationAction{admission.Deny}},
			}, metav1.CreateOptions{}))
		},
		mend: func(t *testing.T, api *kubernetes.Clientset) {
			deleted(t, api.AdmissionregistrationV1().ValidatingAdmissionPolicies().Delete(t.Context(), "no-policy", metav1.DeleteOptions{}))
		},
	},
	{
		pod: "default/hooked", detail: "Webhook", words: []string{`admission webhook "pods.example.test" denied the request`, "static pods are not welcome"},
		refuse: func(t *testing.T, api *kubernetes.Clientset) {
			hook := httptest.NewTLSServer(http.HandlerFunc(deny))
			t.Cleanup(hook.Close)
			authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
			must[*admission.ValidatingWebhookConfiguration](t)(api.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admission.ValidatingWebhookConfiguration{
				ObjectMeta: object("hook"),
				Webhooks: []admission.ValidatingWebhook{{
					Name: "pods.example.test", ClientConfig: admission.WebhookClientConfig{URL: &hook.URL, CABundle: authority},
					Rules: []admission.RuleWithOperations{podCreation()}, SideEffects: new(admission.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
					MatchConditions: []admission.MatchCondition{{Name: "one", Expression: "object.metadata.name == 'hooked-node1'"}},
				}},
			}, metav1.CreateOptions{}))
		},
		mend: func(t *testing.T, api *kubernetes.Clientset) {
			deleted(t, api.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), "hook", metav1.DeleteOptions{}))
		},
	},
	{
		pod: "default/classy", detail: "Priority", words: []string{"no PriorityClass with name upper was found"},
		mend: func(t *testing.T, api *kubernetes.Clientset) {
			must[*scheduling.PriorityClass](t)(api.SchedulingV1().PriorityClasses().Create(t.Context(), &scheduling.PriorityClass{ObjectMeta: object("upper"), Value: 7}, metav1.CreateOptions{}))
		},
	},
}

// Every refusal has the API server's own words, does the pod no harm, and goes when its cause does: at the kubelet's next
// try, which they all wait for together.
func TestRefusals(t *testing.T) {
	n, e, api := cluster(t)
	// An exporter that does not ask the API server sees them by the log alone, and their end by its silence.
	blind := observe(t, n)
	for _, r := range refusals {
		if r.refuse != nil {
			r.refuse(t, api)
		}
	}
	active(t, api)
	for _, r := range refusals {
		write(t, n, strings.ReplaceAll(r.pod, "/", "-")+".yaml", definition(r.pod))
	}
	for _, r := range refusals {
		expect(t, e, r.pod+"-node1", ready, problem("MirrorFailed", r.detail, r.words...), mirrored("False", "MirrorFailed"), without("MirrorMissing"))
		expect(t, blind, r.pod+"-node1", ready, problem("MirrorFailed", r.detail, r.words...), mirrored("", ""))
	}
	for _, r := range refusals {
		r.mend(t, api)
	}
	for _, r := range refusals {
		expect(t, e, r.pod+"-node1", ready, without("MirrorFailed"), without("MirrorMissing"), mirrored("True", ""))
	}
	for _, r := range refusals {
		expect(t, blind, r.pod+"-node1", ready, without("MirrorFailed"))
	}
	for _, e := range []*exporter.Exporter{e, blind} {
		shows(t, e, float64(len(refusals)), "staticpod_problems_total", "reason", "MirrorFailed")
	}
}

// active waits until the API server acts by the policy and the webhook, which it takes note of in its own time.
func active(t *testing.T, api *kubernetes.Clientset) {
	t.Helper()
	// Where nobody makes the service account of a namespace, no pod but a mirror is admitted.
	must[*corev1.ServiceAccount](t)(api.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: object("default")}, metav1.CreateOptions{}))
	for _, name := range []string{"policy-node1", "hooked-node1"} {
		probe := &corev1.Pod{ObjectMeta: object(name), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}}}
		await.Nil(t, name, func(ctx context.Context) error {
			_, err := api.CoreV1().Pods("default").Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil || !strings.Contains(err.Error(), "denied") {
				return fmt.Errorf("it is not denied: %w", err)
			}
			return nil
		})
	}
}

// definition of a refusal's pod.
func definition(name string) string {
	text := pod(name, "sleep", "1h")
	if name == "default/classy" {
		text = strings.Replace(text, "spec:\n", "spec:\n  priorityClassName: upper\n", 1)
	}
	return text
}

func deny(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "static pods are not welcome"}}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(review)
}

func object(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func cpu(quantity string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(quantity)}
}

func podCreation() admission.RuleWithOperations {
	return admission.RuleWithOperations{
		Operations: []admission.OperationType{admission.Create},
		Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}
}

func namespace(t *testing.T, api *kubernetes.Clientset, name string, labels map[string]string) {
	t.Helper()
	must[*corev1.Namespace](t)(api.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{}))
}

func deleted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
