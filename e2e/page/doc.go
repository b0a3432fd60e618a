// Package page tests the exporter's page in a real browser, on a real node: that it is live, that it can be read and used
// by everybody, and that it asks for nothing it does not have. It also takes the pictures of docs/screenshots.
package page
