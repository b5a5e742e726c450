package powerloss

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A shim between SQLite and its files. sqlite3_vfs and sqlite3_io_methods are C structures of pointers; these are the
// offsets of the members used here, on 64 bits.
const (
	vfsSize, vfsName, vfsOpen, vfsDelete = 168, 24, 40, 48

	methodsSize                 = 152
	ioWrite, ioTruncate, ioSync = 24, 32, 40
	ioClose                     = 8
)

// change is one write or truncation that the disk was given.
type change struct {
	path   string
	at     int64
	bytes  []byte // nil: truncate at
	gone   bool   // removed
	synced bool
}

// disk remembers what was written and what of it was synced.
type disk struct {
	mu      sync.Mutex
	changes []change
	open    map[uintptr]string  // files by sqlite3_file
	methods map[uintptr]uintptr // the real methods of each
	refuses map[string]bool     // folders that take no writes
}

// theDisk is under every database of this process: SQLite knows one default file layer.
var theDisk = &disk{open: map[uintptr]string{}, methods: map[uintptr]uintptr{}, refuses: map[string]bool{}}

var real struct {
	open, remove uintptr
	shims        map[uintptr]uintptr // our methods for each set of real ones; theDisk.mu guards it
}

type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	writeFunc    = func(tls *libc.TLS, file, buf uintptr, amount int32, offset int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
)

// word is the pointer at an address of C memory.
func word(address uintptr) *uintptr { return *(**uintptr)(unsafe.Pointer(&address)) }

// call turns a C function pointer into a function.
func call[F any](pointer uintptr) F {
	return *(*F)(unsafe.Pointer(&pointer))
}

// pointerTo turns a function into a C function pointer.
func pointerTo[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// install puts the shim under every database that is opened from here on.
func install() error {
	tls := libc.NewTLS()
	if rc := sqlite3.Xsqlite3_initialize(tls); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("initialise SQLite: %d", rc)
	}
	standard := sqlite3.Xsqlite3_vfs_find(tls, 0)
	shim := libc.Xmalloc(tls, vfsSize)
	name, err := libc.CString("powerloss")
	if standard == 0 || shim == 0 || err != nil {
		return fmt.Errorf("no memory for a file layer: %w", err)
	}
	copy(memory(shim, vfsSize), memory(standard, vfsSize))
	real.shims = map[uintptr]uintptr{}
	real.open, real.remove = *word(standard + vfsOpen), *word(standard + vfsDelete)
	*word(shim + vfsName) = name
	*word(shim + vfsOpen) = pointerTo[openFunc](onOpen)
	*word(shim + vfsDelete) = pointerTo[deleteFunc](onDelete)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, shim, 1); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register the file layer: %d", rc)
	}
	return nil
}

// memory is size bytes of C memory. It must not be inlined: the compiler of Go 1.26 trips over copying between addresses
// that are numbers.
//
//go:noinline
func memory(address uintptr, size int) []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&address)), size)
}

func onOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := call[openFunc](real.open)(tls, vfs, name, file, flags, outFlags)
	methods := *word(file)
	if rc != sqlite3.SQLITE_OK || methods == 0 || name == 0 {
		return rc
	}
	theDisk.mu.Lock()
	defer theDisk.mu.Unlock()
	shim := real.shims[methods]
	if shim == 0 {
		if shim = libc.Xmalloc(tls, methodsSize); shim == 0 {
			return sqlite3.SQLITE_NOMEM
		}
		copy(memory(shim, methodsSize), memory(methods, methodsSize))
		*word(shim + ioWrite) = pointerTo[writeFunc](onWrite)
		*word(shim + ioTruncate) = pointerTo[truncateFunc](onTruncate)
		*word(shim + ioSync) = pointerTo[syncFunc](onSync)
		*word(shim + ioClose) = pointerTo[closeFunc](onClose)
		real.shims[methods] = shim
	}
	theDisk.open[file], theDisk.methods[file] = libc.GoString(name), methods
	*word(file) = shim
	return rc
}

// onDelete passes on.
func onDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	if theDisk.readOnly(libc.GoString(name)) {
		return sqlite3.SQLITE_IOERR_DELETE
	}
	theDisk.note(change{path: libc.GoString(name), gone: true, synced: syncDir != 0})
	return call[deleteFunc](real.remove)(tls, vfs, name, syncDir)
}

func onWrite(tls *libc.TLS, file, buf uintptr, amount int32, offset int64) int32 {
	path, methods := theDisk.of(file)
	if theDisk.readOnly(path) {
		return sqlite3.SQLITE_IOERR_WRITE // what SQLite makes of EROFS
	}
	theDisk.note(change{path: path, at: offset, bytes: append([]byte{}, memory(buf, int(amount))...)})
	return call[writeFunc](*word(methods + ioWrite))(tls, file, buf, amount, offset)
}

func onTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	path, methods := theDisk.of(file)
	if theDisk.readOnly(path) {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	theDisk.note(change{path: path, at: size})
	return call[truncateFunc](*word(methods + ioTruncate))(tls, file, size)
}

func onSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	path, methods := theDisk.of(file)
	rc := call[syncFunc](*word(methods + ioSync))(tls, file, flags)
	if rc == sqlite3.SQLITE_OK {
		theDisk.sync(path)
	}
	return rc
}

func onClose(tls *libc.TLS, file uintptr) int32 {
	_, methods := theDisk.of(file)
	theDisk.mu.Lock()
	delete(theDisk.open, file)
	delete(theDisk.methods, file)
	theDisk.mu.Unlock()
	*word(file) = methods
	return call[closeFunc](*word(methods + ioClose))(tls, file)
}

func (d *disk) of(file uintptr) (path string, methods uintptr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[file], d.methods[file]
}

// readOnly reports whether a file is on a disk that takes no writes.
func (d *disk) readOnly(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refuses[filepath.Dir(path)]
}

// refuse makes a folder's disk take no writes, as a file system does that the kernel found damaged, or take them again.
func (d *disk) refuse(folder string, writes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses[folder] = writes
}

func (d *disk) note(c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, c)
}

// sync makes what a file was given durable. The first sync of a new WAL also syncs its folder (UNIXFILE_DIRSYNC), and with
// it what was removed there before.
func (d *disk) sync(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, c := range d.changes {
		folder := c.gone && strings.HasSuffix(path, "-wal") && filepath.Dir(c.path) == filepath.Dir(path)
		if c.path == path || folder {
			d.changes[i].synced = true
		}
	}
}

// snapshot is the disk at this moment, as a power failure would meet it.
func (d *disk) snapshot() []change {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]change{}, d.changes...)
}

// fate decides about a change that was never synced: whether it reached the disk, and how much of it.
type fate func(c change) (kept []byte, ok bool)

// lost is the disk that kept nothing of it.
func lost(change) ([]byte, bool) { return nil, false }

// torn keeps some changes, some of them in part, in whatever order they happened to be written.
func torn(c change) ([]byte, bool) {
	if rand.N(2) == 0 {
		return nil, false
	}
	if len(c.bytes) == 0 || rand.N(2) == 0 {
		return c.bytes, true
	}
	return c.bytes[:rand.N(len(c.bytes))], true
}

// write makes the files of folder from as the disk kept them, in folder to. It returns how many changes were not synced.
func write(changes []change, from, to string, f fate) (unsynced int, err error) {
	files := map[string][]byte{}
	for _, c := range changes {
		if filepath.Dir(c.path) != from {
			continue
		}
		kept, ok := c.bytes, true
		if !c.synced {
			unsynced++
			kept, ok = f(c)
		}
		switch {
		case ok && c.gone:
			delete(files, c.path)
		case ok:
			files[c.path] = c.apply(files[c.path], kept)
		}
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), text, 0o600); err != nil {
			return 0, fmt.Errorf("write the image: %w", err)
		}
	}
	return unsynced, nil
}

// apply makes one change that the disk kept.
func (c change) apply(file, kept []byte) []byte {
	if c.bytes == nil {
		if int64(len(file)) > c.at {
			return file[:c.at:c.at]
		}
		return file
	}
	if need := int(c.at) + len(kept); need > len(file) {
		file = append(file, make([]byte, need-len(file))...)
	}
	copy(file[c.at:], kept)
	return file
}
