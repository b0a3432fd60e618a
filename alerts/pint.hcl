# What pint holds the rules to, besides what it looks for by itself. Read by the tests of this package.

rule {
  match {
    kind = "alerting"
  }
  label "severity" {
    values   = ["critical", "warning", "info"]
    required = true
  }
  annotation "summary" {
    required = true
  }
  annotation "description" {
    required = true
  }
  annotation "runbook_url" {
    value    = "https://github.com/.+/docs/runbooks\\.md#staticpod.+"
    required = true
  }
  annotation "dashboard_url" {
    value    = "/d/staticpod-.+"
    required = true
  }
  # A scrape that failed once is no reason to wake anybody.
  for {
    min = "30s"
  }
  # A problem is a series that is there while it lasts: that there is one is the condition.
  disable = ["alerts/comparison"]
}

# Records about fleets are asked for by job, and fleets are told apart by it.
rule {
  match {
    kind = "recording"
  }
  aggregate ".+" {
    keep = ["job"]
  }
}

# These are fitted to other namespaces than kube-system by an expression for several (assets alerts --page-namespaces).
rule {
  match {
    name = "StaticPodManifestInvalid|StaticPodNotReady"
  }
  disable = ["promql/regexp"]
}

# A list that is refused as a whole has no definition, which the description says in other words.
rule {
  match {
    name = "StaticPodManifestInvalid"
    label "severity" {
      value = "critical"
    }
  }
  disable = ["alerts/template"]
}
