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
		x := TestedRoute{Method: rt.Method, Path: rt.Path, ForWrite: rt.Access == ForWrite, Probed: rt.Access == Open || rt.Access == ForMetrics}
		for _, p := range rt.Doc.Params {
			switch {
			case !p.inQuery():
			case p.Repeatable:
				x.Repeatable = append(x.Repeatable, p.Name)
			default:
				x.Single = append(x.Single, p.Name)
			}
		}
		list = append(list, x)
	}
	return list
}
