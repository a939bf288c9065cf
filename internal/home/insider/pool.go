package insider

import (
	"context"
	"sync"
)

// worker is one goroutine's share of a pass.
type worker struct {
	ctx     context.Context
	pool    *pool
	try     *trier // nil in the first pass
	windows int64
	skipped int64
}

// pool is a stack of tasks that may push further tasks. The newest goes first,
// so that a file is done with before the next is read into memory.
type pool struct {
	mu     sync.Mutex
	wake   *sync.Cond
	tasks  []func(*worker)
	active int
}

func newPool() *pool {
	p := &pool{}
	p.wake = sync.NewCond(&p.mu)
	return p
}

func (p *pool) push(task func(*worker)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = append(p.tasks, task)
	p.wake.Signal()
}

// work runs tasks until there are none and nobody can push another.
func (p *pool) work(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.tasks) == 0 {
			if p.active == 0 {
				p.wake.Broadcast()
				return
			}
			p.wake.Wait()
		}
		last := len(p.tasks) - 1
		task := p.tasks[last]
		p.tasks[last] = nil
		p.tasks = p.tasks[:last]
		p.active++
		p.mu.Unlock()
		task(w)
		p.mu.Lock()
		p.active--
	}
}
