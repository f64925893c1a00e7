// SPDX-License-Identifier: GPL-2.0
/* Per-CPU memory, delayed work, registers. */

void __percpu *mrs_alloc_percpu(size_t size, size_t align, gfp_t gfp)
{
	return __alloc_percpu_gfp(size, align, gfp);
}

void *mrs_per_cpu_ptr(void __percpu *ptr, int cpu)
{
	return per_cpu_ptr(ptr, cpu);
}

/* One instruction on x86, safe against interrupts on every architecture. */
void mrs_this_cpu_add_long(unsigned long __percpu *ptr, unsigned long val)
{
	this_cpu_add(*ptr, val);
}

int mrs_next_possible_cpu(int cpu)
{
	return cpumask_next(cpu, cpu_possible_mask);
}

void mrs_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

bool mrs_schedule_delayed_work(struct delayed_work *work, unsigned long delay)
{
	return schedule_delayed_work(work, delay);
}

/* The first argument of a function that a kprobe has just stopped in. */
unsigned long mrs_regs_first_argument(struct pt_regs *regs)
{
	return regs_get_kernel_argument(regs, 0);
}
