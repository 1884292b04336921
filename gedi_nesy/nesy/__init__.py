"""The neuro-symbolic track: rules as ProbLog programs, compiled to exact, batched, differentiable constraints."""

import warnings

# DeepProbLog says on import that its approximate engine lacks PySwip; nothing here uses that engine.
warnings.filterwarnings("ignore", message="ApproximateEngine is not available")
