"""Policies: a language model that answers prompts: greedy, sampled, structured, receding horizon, best of N, vLLM."""
