// The parallel job that this process is a part of.
#ifndef TORCHML_CORE_JOB_HPP
#define TORCHML_CORE_JOB_HPP

// End the whole job, if this process is one of several ranks; return if it is alone.
void end_job_of_several_ranks();

#endif
