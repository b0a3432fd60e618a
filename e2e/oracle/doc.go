// Package oracle holds our judgement of static pods against the kubelet's own: every definition that we serve or
// expect in its manifest directory, pkg/kubelet/config takes, and every one that we refuse in its name it refuses.
//
// The corpus is made of the manifests in testdata, changed in their structure and in their text. It is the same in
// every run; TestAgreementOnAnotherCorpus takes its seed and its size from the environment.
package oracle
