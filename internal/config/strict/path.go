package strict

import (
	"path/filepath"
	"reflect"
	"strings"
)

// File is one key that names a file or a folder.
type File struct {
	Path string // of the key: "apps[2].apns.key_file"
	Name string // of the file
}

// Absolute makes every relative path in the struct relative to dir: keys that end in _file, lists that end in _files,
// and the keys whose names are given as folders. Empty values stay empty.
func Absolute(into any, dir string, folders ...string) {
	walkFiles(reflect.ValueOf(into).Elem(), "", folders, func(_ string, v reflect.Value) {
		if name := v.String(); name != "" && !filepath.IsAbs(name) {
			v.SetString(filepath.Join(dir, name))
		}
	})
}

// Files lists what every non-empty key that ends in _file or _files names.
func Files(of any) []File {
	var all []File
	walkFiles(reflect.ValueOf(of).Elem(), "", nil, func(path string, v reflect.Value) {
		if v.String() != "" {
			all = append(all, File{Path: path, Name: v.String()})
		}
	})
	return all
}

func walkFiles(section reflect.Value, path string, folders []string, visit func(path string, v reflect.Value)) {
	for _, f := range fields(section.Type()) {
		v, at := section.FieldByIndex(f.index), join(path, f.name)
		isFile := strings.HasSuffix(f.name, "_file")
		for _, folder := range folders {
			isFile = isFile || f.name == folder
		}
		switch {
		case v.Kind() == reflect.String && isFile:
			visit(at, v)
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String && strings.HasSuffix(f.name, "_files"):
			for i := range v.Len() {
				visit(element(at, i), v.Index(i))
			}
		default:
			walkInside(v, at, folders, visit)
		}
	}
}

func walkInside(v reflect.Value, path string, folders []string, visit func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		if !isScalar(v.Type()) {
			walkFiles(v, path, folders, visit)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walkInside(v.Elem(), path, folders, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkInside(v.Index(i), element(path, i), folders, visit)
		}
	default: // scalars hold no paths, tables belong to somebody else
	}
}
