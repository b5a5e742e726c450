// Package simulator is fake APNs, FCM v1 (with its OAuth token endpoint) and Web Push: real TLS servers with opinions.
//
// They are stricter than the services they stand for, because they are the oracle of every test and bench above them:
// a lenient simulator hides bugs. Whatever breaks a rule of the wire is refused with the service's own status, reason
// and body, and [Receipt.Problem] says in words what was wrong. Every answer, fault and outage that the real services
// can give can be asked for: per token by [Simulator.Script], per service by [Simulator.SetConditions], at once by
// [Simulator.GoAway] and [Simulator.Disconnect]. The same is there for other processes as JSON over HTTP on the control
// address (see control.go); [Client] speaks it.
//
// The package owns its certificates, keys, tokens and subscriptions ([Simulator.WriteCredentials],
// [Simulator.Subscribe]) and the log of what arrived ([Receipt]). It shares no code with the providers and imports
// nothing of pushgate: what it knows of the wire it knows from Apple's, Google's and the IETF's texts. It does not
// simulate devices, storage at the provider or delivery order.
package simulator
