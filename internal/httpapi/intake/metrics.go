package intake

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	overRate   *prometheus.CounterVec
	unreadable *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		overRate: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_intake_over_rate_total", Help: "Requests answered 429 because their application exceeded its rate.",
		}, []string{"app"}),
		unreadable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_intake_unreadable_total", Help: "Requests to the intake that left neither an event nor a rejection, by the reason that /v1/unreadable lists.",
		}, []string{"app", "reason"}),
	}
	if r != nil {
		r.MustRegister(m.overRate, m.unreadable)
	}
	return m
}

// forget drops the counters of an application that no longer exists.
func (m metrics) forget(app string) {
	for _, vec := range []*prometheus.CounterVec{m.unreadable, m.overRate} {
		vec.DeletePartialMatch(prometheus.Labels{"app": app})
	}
}
