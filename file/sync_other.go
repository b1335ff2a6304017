//go:build !unix

package file

func cannotSyncDir(error) bool { return true }
