package hub

// GuardMemory keeps the memory of this process, in which footage is in the
// clear and keys are, out of core dumps and away from other processes of the
// same user (protocol 2.6). A program that holds keys calls it first thing.
// Where the system has no such thing, it does nothing.
func GuardMemory() error { return guardMemory() }
