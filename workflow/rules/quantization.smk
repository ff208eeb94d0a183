# Weights in fewer bits: what they cost in perplexity and save in time.


use rule baseline_quality as quantization_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("quantization")),


use rule baseline_speed as quantization_speed with:
    wildcard_constraints:
        run=one_of(study.runs_of("quantization")),
