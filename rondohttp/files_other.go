//go:build !unix

package rondohttp

import "io/fs"

// inode returns 0: a file has no number here.
func inode(fs.FileInfo) uint64 { return 0 }
