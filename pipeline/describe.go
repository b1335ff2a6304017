package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// A Graph is what a pipeline consists of, in the order of the flow.
type Graph struct {
	Stages []string
	// Edges are pairs of indices into Stages: items go from the first to the
	// second.
	Edges [][2]int
}

// Describe returns the stages of the pipeline and how they hang together.
func (p *Pipeline) Describe() Graph {
	var g Graph
	for _, n := range p.nodes {
		g.Stages = append(g.Stages, n.String())
	}
	for i, n := range p.nodes {
		for _, in := range n.inputs {
			if j := slices.Index(p.nodes, in); j >= 0 {
				g.Edges = append(g.Edges, [2]int{j, i})
			}
		}
	}
	return g
}

// String returns the graph as text: a line a stage, with where it goes to.
func (g Graph) String() string {
	var b strings.Builder
	for i, s := range g.Stages {
		fmt.Fprintf(&b, "%d %s", i, s)
		arrow := " ->"
		for _, e := range g.Edges {
			if e[0] == i {
				fmt.Fprintf(&b, "%s %d", arrow, e[1])
				arrow = ","
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Mermaid returns the graph as a Mermaid flowchart.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	escape := strings.NewReplacer(`"`, "#quot;", "\n", " ")
	for i, s := range g.Stages {
		fmt.Fprintf(&b, "    s%d[\"%s\"]\n", i, escape.Replace(s))
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "    s%d --> s%d\n", e[0], e[1])
	}
	return b.String()
}

// DOT returns the graph in the language of Graphviz.
func (g Graph) DOT() string {
	var b strings.Builder
	b.WriteString("digraph pipeline {\n    rankdir=LR;\n")
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ")
	for i, s := range g.Stages {
		fmt.Fprintf(&b, "    s%d [label=\"%s\"];\n", i, escape.Replace(s))
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "    s%d -> s%d;\n", e[0], e[1])
	}
	b.WriteString("}\n")
	return b.String()
}
