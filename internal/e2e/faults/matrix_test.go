package faults

// matrix is the list of faults, numbered as in the house's fault matrix.
func matrix() []row {
	return []row{
		{"F9", "kill -9 at random moments under load", both, nil, (*rig).kills},
		{"F25", "two nodes, one stopped for longer than its lease", postgresOnly, nil, (*rig).splitByStop},
		{"F25b", "two nodes, one cut off from the database", postgresOnly, nil, (*rig).splitByWire},
		{"F7", "half-open connections", sqliteOnly, postgresOnly, (*rig).halfOpen},
		{"F1", "provider refuses TCP", both, nil, (*rig).refused},
		{"F2", "one provider slow", sqliteOnly, postgresOnly, (*rig).slow},
		{"F3", "requests never answered", sqliteOnly, postgresOnly, (*rig).unanswered},
		{"F4", "429 with and without Retry-After", sqliteOnly, postgresOnly, (*rig).throttled},
		{"F5", "5xx, all of them and one in ten", sqliteOnly, postgresOnly, (*rig).serverErrors},
		{"F6", "GOAWAY, Shutdown, REFUSED_STREAM, one stream", sqliteOnly, postgresOnly, (*rig).goAway},
		{"F8", "bad certificates, out and in", both, nil, (*rig).certificates},
		{"F10", "power loss", both, nil, (*rig).powerLoss},
		{"F11", "disk full, read-only", both, nil, (*rig).diskFull},
		{"F12", "clocks that disagree", both, nil, (*rig).clocks},
		{"F13", "database silent, away, slow", postgresOnly, nil, (*rig).databaseDown},
		{"F14", "queue full", both, nil, (*rig).queueFull},
		{"F15", "SIGTERM under load, rolling restart", both, nil, (*rig).rolling},
		{"F16", "the same request again and again", both, nil, (*rig).repeats},
		{"F17", "poison", sqliteOnly, postgresOnly, (*rig).poison},
		{"F18", "reload under load, valid and invalid", sqliteOnly, postgresOnly, (*rig).reloads},
		{"F19", "credentials rotated, then revoked", sqliteOnly, postgresOnly, (*rig).rotation},
		{"F19b", "wrong credentials of every kind", both, nil, (*rig).wrongCredentials},
		{"F20", "mass BadDeviceToken", sqliteOnly, postgresOnly, (*rig).massBadToken},
		{"F20b", "mass BadDeviceToken in mid-life", both, nil, (*rig).badMidLife},
		{"F21", "410 before and after the registration", sqliteOnly, postgresOnly, (*rig).gone},
		{"F22", "expired while queued", sqliteOnly, postgresOnly, (*rig).expired},
		{"F23", "one app floods", sqliteOnly, postgresOnly, (*rig).flood},
		{"-", "a healthy day writes nothing", both, nil, (*rig).healthyDay},
	}
}
