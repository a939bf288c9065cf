package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell (${enum})."`
}

// Run prints a script that completes commands and flags; it is made from the
// grammar, so it cannot fall behind it.
func (c *completionCmd) Run(a *app) error {
	words := map[string][]string{}
	collectWords(a.model.Node, "latchkey", words)
	paths := make([]string, 0, len(words))
	for p := range words {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	switch c.Shell {
	case "fish":
		return a.completeFish(paths, words)
	case "zsh":
		a.print("autoload -U +X bashcompinit && bashcompinit")
	}
	return a.completeBash(paths, words)
}

// collectWords gathers, for each command path, what may follow it.
func collectWords(n *kong.Node, path string, words map[string][]string) {
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		words[path] = append(words[path], child.Name)
		collectWords(child, path+" "+child.Name, words)
	}
	for _, f := range n.Flags {
		words[path] = append(words[path], "--"+f.Name)
	}
	sort.Strings(words[path])
}

func (a *app) completeBash(paths []string, words map[string][]string) error {
	a.print("_latchkey() {\n  local path=latchkey word i")
	a.print("  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=${COMP_WORDS[i]}\n    case \"$path $word\" in")
	for _, p := range paths[1:] {
		a.print("      %q) path=%q ;;", p, p)
	}
	a.print("    esac\n  done\n  case \"$path\" in")
	for _, p := range paths {
		a.print("    %q) COMPREPLY=($(compgen -W %q -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;", p, strings.Join(words[p], " "))
	}
	a.print("  esac\n}\ncomplete -o default -F _latchkey latchkey")
	return nil
}

func (a *app) completeFish(paths []string, words map[string][]string) error {
	for _, p := range paths {
		condition := "__fish_use_subcommand"
		if parts := strings.Fields(p)[1:]; len(parts) > 0 {
			condition = fmt.Sprintf("__fish_seen_subcommand_from %s", parts[len(parts)-1])
		}
		for _, w := range words[p] {
			if flag, ok := strings.CutPrefix(w, "--"); ok {
				a.print("complete -c latchkey -n '%s' -l %s", condition, flag)
				continue
			}
			a.print("complete -c latchkey -f -n '%s' -a %s", condition, w)
		}
	}
	return nil
}
