package change

import "testing"

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestSignal(t *testing.T) {
	var s Signal
	waited := s.Wait()
	s.Noted() // there is nothing to note
	if closed(waited) || s.Wait() != waited {
		t.Error("the channel of a signal that was not fired is closed or replaced")
	}
	s.Fire()
	s.Fire()
	if !closed(waited) || !closed(s.Wait()) {
		t.Error("the channel of a signal that was fired is open")
	}
	s.Noted()
	again := s.Wait()
	if closed(again) {
		t.Error("what was noted is told again")
	}
	s.Fire() // while somebody looks
	if !closed(again) {
		t.Error("what happened after it was noted is lost")
	}
}

func TestSignalFiredBeforeAnybodyWaits(t *testing.T) {
	var s Signal
	s.Fire()
	if !closed(s.Wait()) {
		t.Error("what happened before anybody waited is lost")
	}
}
