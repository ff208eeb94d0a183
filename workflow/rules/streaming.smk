# StreamingLLM, one job per window size and corpus, and one per engine that is timed.


use rule baseline_quality as streaming_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("streaming")),


use rule baseline_speed as streaming_speed with:
    wildcard_constraints:
        run=one_of(study.runs_of("streaming")),
