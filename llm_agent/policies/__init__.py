"""Policies: language models as policies: greedy, sampled, structured, receding horizon, best of N, with vLLM."""
