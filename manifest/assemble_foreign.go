package manifest

// foreignPrefix begins the key of a definition that another server gives the kubelet, and the ID of the one that
// stands for what names no pod there.
const foreignPrefix = "url:"

// addForeign lists what another server gives the kubelet. All of it is Served, in the sense that the kubelet is
// given it; what of it the kubelet runs is for the verdict to find.
func (a *assembler) addForeign() {
	r := a.foreign
	if r == nil {
		return
	}
	for _, c := range r.candidates {
		duplicate := has(c.Problems, DuplicateName)
		key := foreignPrefix + candidateKey(c)
		if duplicate {
			key += "#" + c.Hash
		}
		if a.used[key] {
			continue // the very same once more
		}
		e := a.entry(key, c.Namespace, c.Name, SourceHTTP)
		a.update(e, c)
		a.used[key] = true
		d := definition(e, c)
		d.Valid = !c.Quarantined()
		d.Served = !duplicate
		d.Problems = a.datedFrom(r.began, e, c.Problems, nil)
		a.add(d)
	}
	if len(r.faults) == 0 {
		return
	}
	key := foreignPrefix + r.list.URL
	e := a.entry(key, "", "", SourceHTTP)
	a.used[key] = true
	e.Path, e.Line = r.list.URL, r.faults[0].Line
	if e.Hash != r.list.Revision {
		e.Hash, e.Updated, e.Changed, e.Judged = r.list.Revision, a.at, a.readAt(), a.readAt()
		e.Revision++
	}
	d := definition(e, nil)
	d.ID = key
	d.Problems = a.datedFrom(r.list.At, e, r.faults, nil)
	a.add(d)
}
