"""The operator's side: a page for people, metrics for Prometheus, health for load balancers."""
