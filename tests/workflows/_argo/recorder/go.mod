module recorder

go 1.23

require (
	github.com/Knetic/govaluate v3.0.1-0.20250325060307-7625b7f8c03d+incompatible
	github.com/expr-lang/expr v1.17.7
	github.com/robfig/cron/v3 v3.0.1
	sigs.k8s.io/yaml v1.4.0
)
