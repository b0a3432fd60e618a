// Package dashboards looks at the project's dashboards with a real node behind them, and takes their pictures: every panel,
// annotation and variable finds something.
package dashboards
