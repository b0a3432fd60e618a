package diagnose

import "context"

// Configuration says whether the configuration could be read; err is what is wrong with it.
func Configuration(path string, err error) Check {
	return Check{"configuration", func(context.Context) []Finding {
		switch {
		case err != nil:
			return []Finding{
				fail(err.Error(), "mend it: check-config says whether that is all; until then serve runs on with the last good one, if it had one"),
				skipped("everything else: it depends on the configuration"),
			}
		case path == "":
			return one(ok("there is no file: the defaults, flags and variables"))
		}
		return one(ok("%s", path))
	}}
}

// Usable says whether something that is configured can be used; "" is nothing.
func Usable(name, what string, try func() error) Check {
	return Check{name, func(context.Context) []Finding {
		if what == "" {
			return one(skipped("%s is empty", name))
		}
		if err := try(); err != nil {
			return one(fail(err.Error(), "mend it: serve does not start with it"))
		}
		return one(ok("%s can be used", what))
	}}
}
