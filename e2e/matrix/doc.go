// Package matrix lets every static pod fail that can, on a real node that reads them from files and by URL alike, and
// asks of each: is it found, by its name, in the kubelet's or the runtime's own words, quickly, once, on no other pod,
// and is it over when it is mended? The tables are to be read as a document: each row is an operator's story.
package matrix
