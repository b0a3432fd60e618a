// Package soak holds the exporter against a node with which nothing is wrong: fifty pods of many shapes, edited,
// moved and restarted as a careful operator does, and not one problem that such an operator would call false.
package soak
