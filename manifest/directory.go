package manifest

// readDirectory reads the kubelet's manifest directory, or its one manifest file, as the kubelet does: every
// file whose name begins with no dot, links followed, whatever its extension, in byte order, one Pod each.
// dir is where it is read; as is the path that the kubelet knows it by, which is part of every UID, "" for dir.
// The error says why nothing could be listed.
func (v *Validator) readDirectory(dir, as string) ([]readFile, error) { return nil, nil }
