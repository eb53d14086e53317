package httpapi

// TestedRoute is a route as tests see it.
type TestedRoute struct {
	Method, Path       string
	ForWrite           bool
	Probed             bool     // by what sends parameters that mean nothing here
	Single, Repeatable []string // parameters of the query that it documents
}

// TestedRoutes returns all routes, those of the first Eye too.
func TestedRoutes() (list []TestedRoute) {
	s := &Server{opts: Options{LegacyApp: "legacy"}}
	for _, rt := range s.routes() {
		x := TestedRoute{Method: rt.method, Path: rt.path, ForWrite: rt.access == forWrite, Probed: rt.access == open || rt.access == forMetric}
		for _, p := range rt.doc.params {
			switch {
			case !p.inQuery():
			case p.repeatable:
				x.Repeatable = append(x.Repeatable, p.name)
			default:
				x.Single = append(x.Single, p.name)
			}
		}
		list = append(list, x)
	}
	return list
}
