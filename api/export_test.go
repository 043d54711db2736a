package api

// OnLambda returns any handler as a function.
var OnLambda = onLambda
