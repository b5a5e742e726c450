package importer

import (
	"strings"

	provider "github.com/pushgate/pushgate/internal/provider/fcm"
)

const optionsPath = "options"

// fcmOptions returns fcm_options without what our fcm section refuses, and says so key by key. The section itself is the
// judge: what Google, or pushgate, would refuse in every message is better lost here with a note.
func fcmOptions(s *source) map[string]any {
	value := s.value("fcm_options")
	if value == nil {
		return nil
	}
	options, ok := value.(map[string]any)
	if !ok {
		s.note("fcm_options", "is not a mapping and was left out")
		return nil
	}
	for {
		problems := optionProblems(options)
		removed := false
		for _, p := range problems {
			if prune(options, optionsPath, p.Key) {
				removed = true
				s.note("fcm_options"+strings.TrimPrefix(p.Key, optionsPath), "was left out: %s", p.Text)
			}
		}
		if !removed {
			break // nothing wrong, or nothing we can take away: the check after the import tells
		}
	}
	if len(options) == 0 {
		return nil
	}
	return options
}

// optionProblems asks the fcm section what it thinks of these options.
func optionProblems(options map[string]any) []Note {
	var all []Note
	provider.Config{Options: options}.Check(func(path, problem string) {
		if strings.HasPrefix(path, optionsPath+".") {
			all = append(all, Note{Key: path, Text: problem})
		}
	})
	return all
}

// prune deletes the member at a path; names may hold dots.
func prune(object map[string]any, at, path string) bool {
	for name, value := range object {
		here := at + "." + name
		if here == path {
			delete(object, name)
			return true
		}
		if below, ok := value.(map[string]any); ok && strings.HasPrefix(path, here+".") && prune(below, here, path) {
			return true
		}
	}
	return false
}
