package manifest

// A Form is how a file is read.
type Form int

// The forms.
const (
	// FormDefinitions is a file of manifest.files: any number of documents, each a Pod, a PodList, a List, a
	// Talos machine configuration or a Talos KubeStaticPodConfig; other Talos documents are passed over.
	FormDefinitions Form = iota
	// FormConfiguration is the exporter's configuration: below machine only pods is read.
	FormConfiguration
	// FormDirectory is a file of the kubelet's manifest directory: one Pod in its first document.
	FormDirectory
)
